# src/backend/simd
