#!/usr/bin/env bash
# Makes a client out of a gateway's /openapi.json, which the gateway itself serves.
# generate.sh LANGUAGE DOCUMENT FOLDER [JAR]: LANGUAGE is java or csharp, DOCUMENT an address or a
# file, JAR the generator's (else the command openapi-generator-cli is used).
set -euo pipefail
language=$1 document=$2 folder=$3 jar=${4:-}

# An enumerated value that came later must not break a client, so every enumeration gets a further
# value for those. The tag `pages` is left out: browsers call its routes, clients do not.
common=(
  generate -i "$document" -o "$folder"
  --global-property models,apis,supportingFiles,apiTests=false,modelTests=false,apiDocs=false,modelDocs=false
  --openapi-normalizer "FILTER=tag:transactions|browser|credentials|events|service"
)
case $language in
  java)
    options=(-g java --library native --additional-properties
      "invokerPackage=moica.client,apiPackage=moica.client.api,modelPackage=moica.client.model,openApiNullable=false,useJakartaEe=true,enumUnknownDefaultCase=true,disallowAdditionalPropertiesIfNotPresent=false,hideGenerationTimestamp=true")
    ;;
  csharp)
    options=(-g csharp --library httpclient --additional-properties
      "packageName=Moica.Client,targetFramework=net8.0,nullableReferenceTypes=true,enumUnknownDefaultCase=true,disallowAdditionalPropertiesIfNotPresent=false")
    ;;
  *)
    echo "generate.sh: java or csharp expected, not '$language'" >&2
    exit 2
    ;;
esac

if [ -n "$jar" ]; then
  exec java -XX:TieredStopAtLevel=1 -jar "$jar" "${common[@]}" "${options[@]}"
fi
exec openapi-generator-cli "${common[@]}" "${options[@]}"
