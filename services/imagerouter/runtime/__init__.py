"""What every service stands on: configuration, errors, channels, servers, interceptors, telemetry, logs."""
