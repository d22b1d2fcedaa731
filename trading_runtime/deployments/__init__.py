"""Deployments kept up on one machine: desired state in files, and a process for each."""
