"""What stands between the port and the backend: paths, bodies, keys, headers, media, the search page."""
