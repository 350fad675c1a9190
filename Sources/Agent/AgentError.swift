import Kafka
import Platform
import Storage

/// Why the agent cannot start.
public enum AgentError: Error {
    case kafka(KafkaError)
    case system(SystemError)
    /// Another agent has a file of this one's.
    case storage(StorageError)

    /// In words, with the place and what may help.
    public var description: String {
        switch self {
        case .kafka(let error): error.description
        case .system(let error): error.description
        case .storage(let error): error.description
        }
    }
}
