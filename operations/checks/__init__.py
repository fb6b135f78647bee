"""Checks of what is deployed: requests that must be answered or refused, credentials, drift, buckets, images."""
