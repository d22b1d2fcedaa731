"""The sources of what runs on a cluster: WorkflowTemplates written with Hera, and rendering."""
