"""Images, made where missing."""
