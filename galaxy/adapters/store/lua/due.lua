-- Needs: DUE

-- Has the reconciler look at a version at this time (ms).
local function set_due(version, at_ms)
  local app, number = unpack(redis.call('HMGET', version, 'app', 'number'))
  redis.call('ZADD', DUE, ms(at_ms), app .. ' ' .. number)
end
