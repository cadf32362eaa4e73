"""One module for each provider, so that a deployment loads one SDK. `adapter.registry` names them."""
