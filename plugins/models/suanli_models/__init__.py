"""Model families, and the reader of Hugging Face configurations."""
