// SPDX-License-Identifier: GPL-2.0
/*
 * An I2C adapter without hardware: plain I2C, and SMBus through it (i2c-stub has SMBus alone). Each of its devices is a
 * file of 256 registers; the first byte of a write sets the register, which then advances. For each device, in debugfs:
 *
 *   i2c-bench/0xADDRESS/fault     errno with which each transfer fails; 0 none (6 ENXIO: nobody acknowledges)
 *                      /stretch   ms for which it holds the clock; the adapter gives up after its timeout
 *                      /hang      ms for which each transfer hangs, whatever the adapter's timeout
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/i2c.h>
#include <linux/module.h>

static ushort addresses[8] = { 0x76, 0x77, 0x48, 0x20 };
static int count = 4;
module_param_array(addresses, ushort, &count, 0444);

static struct bench_device {
	u8 registers[256];
	u8 pointer;
	u32 fault, stretch, hang;
} devices[ARRAY_SIZE(addresses)];

static struct dentry *folder;

static int transfer_message(struct i2c_adapter *adapter, struct i2c_msg *message)
{
	struct bench_device *device = NULL;
	u32 limit = jiffies_to_msecs(adapter->timeout);
	int i;

	for (i = 0; i < count; i++)
		if (addresses[i] == message->addr)
			device = &devices[i];
	if (!device)
		return -ENXIO;
	if (device->hang)
		msleep(device->hang);
	if (device->stretch)
		msleep(min(device->stretch, limit));
	if (device->stretch > limit)
		return -ETIMEDOUT;
	if (device->fault)
		return -(int)device->fault;
	for (i = 0; i < message->len; i++) {
		if (message->flags & I2C_M_RD)
			message->buf[i] = device->registers[device->pointer++];
		else if (i == 0)
			device->pointer = message->buf[i];
		else
			device->registers[device->pointer++] = message->buf[i];
	}
	return 0;
}

static int transfer(struct i2c_adapter *adapter, struct i2c_msg *messages, int number)
{
	int i, error;

	for (i = 0; i < number; i++) {
		error = transfer_message(adapter, &messages[i]);
		if (error)
			return error;
	}
	return number;
}

static u32 functionality(struct i2c_adapter *adapter)
{
	return I2C_FUNC_I2C | I2C_FUNC_SMBUS_EMUL;
}

static const struct i2c_algorithm algorithm = { .master_xfer = transfer, .functionality = functionality };
static struct i2c_adapter adapter = { .owner = THIS_MODULE, .name = "bench", .algo = &algorithm };

static int __init start(void)
{
	int i;

	folder = debugfs_create_dir("i2c-bench", NULL);
	for (i = 0; i < count; i++) {
		char name[8];
		struct dentry *of_device;

		snprintf(name, sizeof(name), "0x%02x", addresses[i]);
		of_device = debugfs_create_dir(name, folder);
		debugfs_create_u32("fault", 0600, of_device, &devices[i].fault);
		debugfs_create_u32("stretch", 0600, of_device, &devices[i].stretch);
		debugfs_create_u32("hang", 0600, of_device, &devices[i].hang);
	}
	return i2c_add_adapter(&adapter);
}
module_init(start);

static void __exit stop(void)
{
	i2c_del_adapter(&adapter);
	debugfs_remove_recursive(folder);
}
module_exit(stop);

MODULE_DESCRIPTION("I2C adapter with register files for tests");
MODULE_LICENSE("GPL");
