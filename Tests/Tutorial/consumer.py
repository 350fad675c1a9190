"""The tutorial's consumer: prints what arrives on the topic `sensors`.

usage: consumer.py BOOTSTRAP [COUNT]      COUNT readings, then it ends
"""
import json
import sys

from kafka import KafkaConsumer

bootstrap = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 0

consumer = KafkaConsumer(
    "sensors",
    bootstrap_servers=bootstrap.split(","),
    auto_offset_reset="earliest",
    value_deserializer=lambda value: json.loads(value.decode("utf-8")),
)
seen = 0
for message in consumer:
    reading = message.value
    # What the tutorial relies on; a change here would break everybody's consumer.
    assert isinstance(reading["sensorID"], str), reading
    assert isinstance(reading["timestamp"], float), reading
    assert "value" in reading, reading
    print(f"{reading['sensorID']}: {reading['value']} at {reading['timestamp']:.3f}", flush=True)
    seen += 1
    if seen == count:
        break
consumer.close()
