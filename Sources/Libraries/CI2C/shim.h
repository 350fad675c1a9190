// i2c-dev: the SMBus calls of libi2c, and the ioctls that Swift cannot make itself because ioctl(2) is variadic.
#ifndef KEDGE_I2C_SHIM_H
#define KEDGE_I2C_SHIM_H

#include <errno.h>
#include <linux/i2c.h>
#include <linux/i2c-dev.h>
#include <i2c/smbus.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

/// What the adapter can do, as `I2C_FUNC_…` bits. Returns 0, or -1 with errno (as all below).
static inline int kedge_i2c_functions(int bus, unsigned long *functions) { return ioctl(bus, I2C_FUNCS, functions); }

/// Bounds each transfer on the adapter: `timeout` in units of 10 ms, `retries` after a lost arbitration.
static inline int kedge_i2c_bound(int bus, unsigned long timeout, unsigned long retries) {
    if (ioctl(bus, I2C_TIMEOUT, timeout) < 0) return -1;
    return ioctl(bus, I2C_RETRIES, retries);
}

/// Chooses the device of the SMBus calls that follow. EBUSY: a kernel driver has it.
static inline int kedge_i2c_select(int bus, uint8_t address) { return ioctl(bus, I2C_SLAVE, (unsigned long)address); }

/// Writes, then reads with a repeated start; a part of length 0 is left out.
static inline int kedge_i2c_transfer(int bus, uint8_t address, const void *write, uint16_t write_length, void *read,
                                     uint16_t read_length) {
    struct i2c_msg messages[2];
    struct i2c_rdwr_ioctl_data transfer = {.msgs = messages, .nmsgs = 0};
    if (write_length > 0) {
        // The kernel only reads a message that is not I2C_M_RD.
        messages[transfer.nmsgs++] = (struct i2c_msg){.addr = address, .flags = 0, .len = write_length, .buf = (__u8 *)write};
    }
    if (read_length > 0) {
        messages[transfer.nmsgs++] = (struct i2c_msg){.addr = address, .flags = I2C_M_RD, .len = read_length, .buf = (__u8 *)read};
    }
    return ioctl(bus, I2C_RDWR, &transfer);
}

/// Sends nothing but the address, with the write bit: the device acknowledges or does not.
static inline int kedge_i2c_quick(int bus) { return i2c_smbus_write_quick(bus, I2C_SMBUS_WRITE); }

/// SMBus I2C block read of 1 to 32 bytes; fewer than asked for is EIO.
static inline int kedge_i2c_read_block(int bus, uint8_t reg, uint8_t length, void *into) {
    // libi2c copies as many bytes as the adapter says that it read.
    __u8 block[I2C_SMBUS_BLOCK_MAX];
    __s32 count = i2c_smbus_read_i2c_block_data(bus, reg, length, block);
    if (count < 0) return -1;
    if (count < length) {
        errno = EIO;
        return -1;
    }
    memcpy(into, block, length);
    return 0;
}

#endif
