# src/backend/check
