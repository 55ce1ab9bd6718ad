"""What runs in the replicas behind the ingress: the text tower, both stages, pictures of clips."""
