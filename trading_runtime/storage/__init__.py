"""Byte storage: objects on disk or in S3, files written whole, temporary folders."""
