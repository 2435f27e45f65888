# src/ir
