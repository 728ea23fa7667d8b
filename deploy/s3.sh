#!/bin/sh
# Started in the S3 container: SeaweedFS with one identity, whose keys come from the environment, and one bucket.
set -eu
umask 077
cat > /run/s3.json <<JSON
{"identities": [{"name": "mail",
  "credentials": [{"accessKey": "$S3_ACCESS_KEY", "secretKey": "$S3_SECRET_KEY"}],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
JSON
(
    until wget -q -O /dev/null http://127.0.0.1:8333/healthz; do sleep 1; done
    printf 'fs.configure -locationPrefix=/buckets/ -fsync=true -apply\ns3.bucket.create -name %s\n' "$S3_BUCKET" | weed shell
) &
exec weed server -dir=/data -ip="$(hostname -i)" -ip.bind=0.0.0.0 -master.telemetry=false -filer -s3 \
    -s3.config=/run/s3.json -s3.autoCreateBucket=false -s3.allowDeleteBucketNotEmpty=false
