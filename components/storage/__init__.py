"""Buckets at an S3 service."""
