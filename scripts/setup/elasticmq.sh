#!/usr/bin/env bash
# ElasticMQ, which speaks SQS, for the tests: build/servers/elasticmq.
. "$(dirname "$0")/../lib.sh"

install_maven elasticmq org.elasticmq:elasticmq-server_3:1.7.1
