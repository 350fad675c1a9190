import Platform
import Testing

@Suite struct PathTests {
    @Test(arguments: [
        ("/dev/i2c-1", "/dev/i2c-1"), ("//dev/i2c-1", "/dev/i2c-1"), ("/dev/./i2c-1/", "/dev/i2c-1"),
        ("/dev/../dev/i2c-1", "/dev/i2c-1"), ("/../dev/i2c-1", "/dev/i2c-1"), ("/dev/..", "/"), ("/", "/"), ("", ""),
        ("dev/./x", "dev/x"), ("../dev/../x", "../x"), ("../../x", "../../x"), ("/dev/...", "/dev/..."),
    ])
    func onePathHasOneText(written: String, expected: String) {
        #expect(normalisedPath(written) == expected)
    }
}
