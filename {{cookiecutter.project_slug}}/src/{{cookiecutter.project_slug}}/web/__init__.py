"""What stands between the service and the web: headers, hosts and proxies, cross-site requests."""
