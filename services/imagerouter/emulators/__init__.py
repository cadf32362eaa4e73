"""Stand-in processes that speak the providers' protocols, draw real pictures and keep a journal of what they bill."""
