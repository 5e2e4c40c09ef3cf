"""Items of loops that lie in files: read part by part, and stored in pages."""
