"""Charts that one can zoom: figures for notebooks, and pages that stand alone. They need Plotly."""
