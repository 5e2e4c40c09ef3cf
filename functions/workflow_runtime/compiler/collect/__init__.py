"""First stage: the graphs and charts of a definition, flat, with every template and expression parsed."""
