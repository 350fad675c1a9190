#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>

// What Swift cannot call: rd_kafka_vu_t is a union filled through macros, and the table of properties is only
// to be had as a stream. Inline, so that it costs no target of its own.

/// Hands one message to the producer. The payload is neither copied nor freed: it must stay until its delivery
/// report. The key and the value of the header "id" are copied. An empty key is sent as none.
static inline rd_kafka_resp_err_t kedge_kafka_produce(
    rd_kafka_t *client, rd_kafka_topic_t *topic, const void *payload, size_t payload_size, const void *key,
    size_t key_size, const void *id, size_t id_size, void *opaque) {
    rd_kafka_vu_t parts[5];
    size_t count = 0;
    parts[count].vtype = RD_KAFKA_VTYPE_RKT;
    parts[count++].u.rkt = topic;
    parts[count].vtype = RD_KAFKA_VTYPE_VALUE;
    // A null value is a tombstone; an empty payload is not.
    parts[count].u.mem.ptr = payload != NULL ? (void *)payload : (void *)"";
    parts[count++].u.mem.size = payload_size;
    parts[count].vtype = RD_KAFKA_VTYPE_OPAQUE;
    parts[count++].u.ptr = opaque;
    if (key_size > 0) {
        parts[count].vtype = RD_KAFKA_VTYPE_KEY;
        parts[count].u.mem.ptr = (void *)key;
        parts[count++].u.mem.size = key_size;
    }
    // A list of headers of our own, and not RD_KAFKA_VTYPE_HEADER: when the topic turns out to be unknown,
    // librdkafka (2.0.2, rd_kafka_produceva) frees the list that it made for the latter twice.
    rd_kafka_headers_t *headers = NULL;
    if (id_size > 0) {
        headers = rd_kafka_headers_new(1);
        rd_kafka_resp_err_t failed = rd_kafka_header_add(headers, "id", 2, id, (ssize_t)id_size);
        if (failed != RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_headers_destroy(headers);
            return failed;
        }
        parts[count].vtype = RD_KAFKA_VTYPE_HEADERS;
        parts[count++].u.headers = headers;
    }
    rd_kafka_error_t *error = rd_kafka_produceva(client, parts, count);
    if (error == NULL) return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    // They are librdkafka's only when it has taken the message.
    if (headers != NULL) rd_kafka_headers_destroy(headers);
    return code;
}

/// Hands a command to the producer, as kedge_kafka_produce does, but with a copy of the payload, and the header "sig" when
/// there is a signature.
static inline rd_kafka_resp_err_t kedge_kafka_produce_command(
    rd_kafka_t *client, rd_kafka_topic_t *topic, const void *payload, size_t payload_size, const void *key,
    size_t key_size, const void *signature, size_t signature_size, void *opaque) {
    rd_kafka_vu_t parts[6];
    size_t count = 0;
    parts[count].vtype = RD_KAFKA_VTYPE_RKT;
    parts[count++].u.rkt = topic;
    parts[count].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    parts[count++].u.i = RD_KAFKA_MSG_F_COPY;
    parts[count].vtype = RD_KAFKA_VTYPE_VALUE;
    parts[count].u.mem.ptr = (void *)payload;
    parts[count++].u.mem.size = payload_size;
    parts[count].vtype = RD_KAFKA_VTYPE_KEY;
    parts[count].u.mem.ptr = (void *)key;
    parts[count++].u.mem.size = key_size;
    parts[count].vtype = RD_KAFKA_VTYPE_OPAQUE;
    parts[count++].u.ptr = opaque;
    rd_kafka_headers_t *headers = NULL;
    if (signature_size > 0) {
        headers = rd_kafka_headers_new(1);
        rd_kafka_resp_err_t failed = rd_kafka_header_add(headers, "sig", 3, signature, (ssize_t)signature_size);
        if (failed != RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_headers_destroy(headers);
            return failed;
        }
        parts[count].vtype = RD_KAFKA_VTYPE_HEADERS;
        parts[count++].u.headers = headers;
    }
    rd_kafka_error_t *error = rd_kafka_produceva(client, parts, count);
    if (error == NULL) return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    if (headers != NULL) rd_kafka_headers_destroy(headers);
    return code;
}

/// librdkafka's own table of properties (rd_kafka_conf_properties_show) as text, to be freed; NULL without memory.
static inline char *kedge_kafka_properties(size_t *size) {
    char *text = NULL;
    FILE *stream = open_memstream(&text, size);
    if (stream == NULL) return NULL;
    rd_kafka_conf_properties_show(stream);
    if (fclose(stream) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/// rd_kafka_mock_broker_push_request_error_rtts without its variadic list: one answer `latency_ms` late, with `error`.
static inline rd_kafka_resp_err_t kedge_kafka_mock_push(
    rd_kafka_mock_cluster_t *cluster, int32_t broker, int16_t api_key, rd_kafka_resp_err_t error, int latency_ms) {
    return rd_kafka_mock_broker_push_request_error_rtts(cluster, broker, api_key, 1, error, latency_ms);
}
