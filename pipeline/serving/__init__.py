"""The Ray Serve application: the only files that import ray.serve."""
