#!/usr/bin/env bash
# The step of step.json by hand, on the primary machine of a cluster that runs.
spark-submit --deploy-mode cluster \
  --conf 'spark.archives=s3://my-bucket/mira/uploads/environment.tar.gz#environment' \
  --conf spark.driver.cores=4 \
  --conf spark.driver.memory=12g \
  --conf spark.driver.memoryOverhead=16g \
  --conf spark.driver.resource.gpu.amount=1 \
  --conf spark.driver.resource.gpu.discoveryScript=./gpu_discovery.sh \
  --conf spark.dynamicAllocation.enabled=false \
  --conf spark.executor.cores=12 \
  --conf spark.executor.instances=3 \
  --conf spark.executor.memory=20g \
  --conf spark.executor.memoryOverhead=16g \
  --conf spark.executor.resource.gpu.amount=1 \
  --conf spark.executor.resource.gpu.discoveryScript=./gpu_discovery.sh \
  --conf spark.executorEnv.PYSPARK_PYTHON=./environment/bin/python \
  --conf spark.files=s3://my-bucket/mira/uploads/mira.yaml,s3://my-bucket/mira/uploads/gpu_discovery.sh \
  --conf spark.hadoop.hive.metastore.client.factory.class=com.amazonaws.glue.catalog.metastore.AWSGlueDataCatalogHiveClientFactory \
  --conf spark.jars=/usr/share/aws/delta/lib/delta-spark.jar,/usr/share/aws/delta/lib/delta-storage.jar \
  --conf spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog \
  --conf spark.sql.catalogImplementation=hive \
  --conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension \
  --conf spark.sql.warehouse.dir=s3://my-bucket/mira/warehouse \
  --conf spark.submit.pyFiles=s3://my-bucket/mira/uploads/mira_spark.zip \
  --conf spark.task.resource.gpu.amount=0.0833 \
  --conf spark.yarn.appMasterEnv.PYSPARK_DRIVER_PYTHON=./environment/bin/python \
  --conf spark.yarn.appMasterEnv.PYSPARK_PYTHON=./environment/bin/python \
  --conf spark.yarn.maxAppAttempts=1 \
  s3://my-bucket/mira/uploads/run_pipeline.py --config mira.yaml --set=scoring.cores_per_task=3 --set=scoring.gpus_per_task=0.25
