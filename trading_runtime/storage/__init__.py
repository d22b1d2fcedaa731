"""Where bytes are kept: objects on disk or in S3, files written whole, temporary folders."""
