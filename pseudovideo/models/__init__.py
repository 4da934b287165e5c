"""Networks: Linen modules with plain fields, never the whole config."""
