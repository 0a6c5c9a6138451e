#!/usr/bin/env bash
# DynamoDB Local, for the tests: build/servers/dynamodb.
. "$(dirname "$0")/../lib.sh"

install_maven dynamodb com.amazonaws:DynamoDBLocal:2.6.1
