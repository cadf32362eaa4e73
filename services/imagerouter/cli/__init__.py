"""The `imagerouter` command. Every service is imported only when it is asked for."""
