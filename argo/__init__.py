"""The sources of what runs on a cluster: templates, written with Hera, and their rendering."""
