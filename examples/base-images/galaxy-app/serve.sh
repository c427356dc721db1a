#!/bin/bash
# Serves the bundle's folder `public` on $PORT. As process 1 it has to hand SIGTERM on: httpd would ignore it.
set -euo pipefail
httpd -f -p "${PORT:-3000}" -h /app/bundle/public &
trap 'kill "$!"' TERM INT
wait
