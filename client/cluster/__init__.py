"""`train cluster`: the EKS cluster, its nodes, and jobs for it."""
