"""Charts that one can zoom: figures for notebooks, and self-contained pages. They need Plotly."""
