"""The server and the operator on Kubernetes: manifests, and the custom resources' definitions (`crds`)."""
