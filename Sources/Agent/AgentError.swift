import Kafka
import Platform

/// Why the agent cannot start.
public enum AgentError: Error {
    case kafka(KafkaError)
    case system(SystemError)

    /// In words, with the place and what may help.
    public var description: String {
        switch self {
        case .kafka(let error): error.description
        case .system(let error): error.description
        }
    }
}
