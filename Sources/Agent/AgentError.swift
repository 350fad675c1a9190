import Actuators
import Hardware
import Kafka
import Platform

/// Why the agent cannot start.
public enum AgentError: Error {
    case kafka(KafkaError)
    case system(SystemError)
    /// An I2C bus that is not to be had; its name under `buses`.
    case bus(String, SystemError)
    /// An actuator whose hardware is not to be had; its id.
    case actuator(String, ActuatorError)

    /// In words, with the place and what may help.
    public var description: String {
        switch self {
        case .kafka(let error): return error.description
        case .system(let error): return error.description
        case .bus(let name, let error):
            let remedy = error.busRemedy.map { "; \($0)" } ?? ""
            return "bus \(name): \(error.description)\(remedy)"
        case .actuator(let id, let error): return "actuator \(id): \(error.description)"
        }
    }
}
