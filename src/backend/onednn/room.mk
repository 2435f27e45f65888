# src/backend/onednn
