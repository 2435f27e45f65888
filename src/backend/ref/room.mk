# src/backend/ref
