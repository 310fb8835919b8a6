"""What the user writes and reads: pydantic models, the single source of the CRD, of its documentation and of validation."""
