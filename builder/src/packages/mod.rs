//! Debian and npm: resolving, verifying, fetching and unpacking packages.
