"""What nodes of a graph may say: `common` fields, and one module per family of types."""
