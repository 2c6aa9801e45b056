"""The field's rules of thumb, named and cited."""
