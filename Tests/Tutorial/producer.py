"""The tutorial's producer: a JSON reading on the topic `sensors` every few seconds.

usage: producer.py BOOTSTRAP [COUNT] [SECONDS BETWEEN]
"""
import json
import random
import sys
import time

from kafka import KafkaProducer

bootstrap = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 0
pause = float(sys.argv[3]) if len(sys.argv) > 3 else 5.0

producer = KafkaProducer(
    bootstrap_servers=bootstrap.split(","),
    value_serializer=lambda reading: json.dumps(reading).encode("utf-8"),
)
sent = 0
while count == 0 or sent < count:
    reading = {"sensorID": "tutorial", "value": round(random.uniform(20, 30), 2), "timestamp": time.time()}
    producer.send("sensors", reading)
    producer.flush()
    print(reading, flush=True)
    sent += 1
    if sent != count:
        time.sleep(pause)
producer.close()
