"""Compare past predictions with what their titles earned."""
