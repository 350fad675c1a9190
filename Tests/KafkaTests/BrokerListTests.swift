import Testing

@testable import Kafka

@Suite struct BrokerListTests {
    @Test(arguments: [
        "h", "h:9092", "a:1,b:65535", "a:1, b:2", "my_broker-1.example.org", "10.0.0.7:9093", "[::1]",
        "[fe80::1%eth0]:9092",
        "::1", "ssl://h:9093", "SASL_SSL://[::1]:9093,plaintext://h", "h.:9092",
    ])
    func whatLibrdkafkaReadsPasses(_ list: String) {
        #expect(BrokerList.problem(of: list) == nil)
    }

    @Test(arguments: [
        ("", "the list is empty"), ("  ", "the list is empty"), (",", "an entry of the list is empty"),
        ("h:1,", "an entry of the list is empty"), ("h:1,,h:2", "an entry of the list is empty"),
        ("h:99999,:::,x y", "\"h:99999\" has a port that is not a number from 1 to 65535"),
        ("h:0", "\"h:0\" has a port"), ("h:", "\"h:\" has a port"), ("h:+1", "\"h:+1\" has a port"),
        ("h:99999999999999999999", "has a port"), ("h:1:2", "\"h:1:2\" has no host name or address"),
        (":::", "\":::\" has no host"), (":9092", "\":9092\" has no host"), ("a:1,x y", "\"x y\" has a blank in it"),
        ("h:1 ,g", "\"h:1 \" has a blank"), ("h\t:1", "has a blank"), ("kafka://h:1", "\"kafka://h:1\" has a protocol"),
        ("http://h/x", "has a protocol"), ("ssl://h/x", "has no host"), ("ssl://", "has no host"),
        ("[::1", "has no IPv6 address"), ("[h]:1", "has no IPv6 address"), ("[::1]9092", "has a port"),
        ("[::1]:0", "has a port"), ("bröker", "has no host"),
    ])
    func whatItWouldPassOverIsRefused(_ list: String, _ words: String) throws {
        let problem = try #require(BrokerList.problem(of: list))
        #expect(problem.words().contains(words), "\(problem.words())")
    }

    @Test func aLoginIsNotShown() throws {
        let problem = try #require(BrokerList.problem(of: "ssl://me:swordfish@h:9092"))
        #expect(!problem.words().contains("swordfish"))
        let hidden = try #require(BrokerList.problem(of: "h:swordfish"))
        #expect(hidden.words(isHidden: true) == "an entry (not shown) has a port that is not a number from 1 to 65535")
    }
}
