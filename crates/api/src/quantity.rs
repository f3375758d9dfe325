//! Quantities (`resource.Quantity`).
