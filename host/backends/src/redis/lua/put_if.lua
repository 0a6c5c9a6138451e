-- `Store::put_if`. Arguments: key and field, key and field of a second record that must be absent too, value. Returns
-- whether the value was put.

local key, field = ARGV[2], ARGV[3]
if call('HEXISTS', key, field) == 1 or call('HEXISTS', ARGV[4], ARGV[5]) == 1 then return 0 end
call('HSET', key, field, ARGV[6])
return 1
