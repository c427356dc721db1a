#!/bin/bash
# Unpacks the app's bundle. The build container runs it as: /app/setup.sh BUNDLE_URL
set -euo pipefail

echo "Downloading and unpacking the bundle"
wget -q -O - "$1" | tar -xz -C /app/bundle

echo "The bundle's files:"
find /app/bundle -type f | sort | sed 's#^/app/bundle/#  #'

if [ ! -e /app/bundle/public/index.html ]; then
  echo "The bundle has no public/index.html: there would be nothing to serve." >&2
  exit 1
fi
